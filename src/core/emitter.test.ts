import { describe, expect, it } from 'vitest';
import { Emitter } from './emitter.js';

interface Events {
  ping: (value: number) => void;
}

describe('Emitter', () => {
  it('calls listeners in order until they are removed', () => {
    const events = new Emitter<Events>();
    const heard: string[] = [];
    const first = (value: number) => void heard.push(`first ${value}`);
    events.on('ping', first);
    events.once('ping', (value) => void heard.push(`once ${value}`));
    events.emit('ping', 1);
    events.emit('ping', 2);
    events.off('ping', first);
    events.emit('ping', 3);
    expect(heard).toEqual(['first 1', 'once 1', 'first 2']);
  });

  it('turns an error in a listener into a process warning and continues', async () => {
    const events = new Emitter<Events>();
    const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
    const heard: number[] = [];
    events.on('ping', () => {
      throw new Error('listener broke');
    });
    events.on('ping', (value) => void heard.push(value));
    events.emit('ping', 7);
    expect(heard).toEqual([7]);
    expect((await warning).message).toBe('listener broke');
  });
});
