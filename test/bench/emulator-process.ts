import { startGeminiEmulator } from 'multimodal-chat/testing';

/** Runs the emulator in a process of its own, so that it does not share the contestants' event loop. */
const emulator = await startGeminiEmulator({ journal: false, chunks: 16 });
process.send?.({ url: emulator.url });
process.on('disconnect', () => process.exit(0));
