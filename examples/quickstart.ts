import { MultimodalChat } from 'multimodal-chat';

const chat = new MultimodalChat(); // keys from GEMINI_API_KEY, GEMINI_API_KEY_1, ...
const media = process.argv.slice(2); // pictures, clips, recordings, documents
const reply = await chat.send({ sessionId: 'quickstart', prompt: 'What do you see?', media });
console.log(reply.text);

for await (const part of chat.stream({ sessionId: 'quickstart', prompt: 'And what did I ask before?' }))
  if (part.type === 'text') process.stdout.write(part.text);
await chat.close();
