const { MultimodalChat } = require('multimodal-chat');

async function main() {
  const chat = new MultimodalChat(); // keys from GEMINI_API_KEY, GEMINI_API_KEY_1, ...
  const media = process.argv.slice(2); // pictures, clips, recordings, documents
  for await (const part of chat.stream({ sessionId: 'quickstart', prompt: 'What do you see?', media }))
    if (part.type === 'text') process.stdout.write(part.text);
  await chat.close();
}

main();
