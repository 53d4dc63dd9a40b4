import { describe, expect, it } from 'vitest';
import { Channel } from './channel.js';

async function readAll<Item>(channel: Channel<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of channel.read()) items.push(item);
  return items;
}

describe('Channel', () => {
  it('yields items in order, pushed before or during the reading', async () => {
    const channel = new Channel<number>();
    channel.push(1);
    const reading = readAll(channel);
    channel.push(2);
    await Promise.resolve();
    channel.push(3);
    channel.end();
    expect(await reading).toEqual([1, 2, 3]);
  });

  it('throws the first failure to a waiting reader', async () => {
    const channel = new Channel<number>();
    const reading = readAll(channel);
    channel.fail(new Error('first'));
    channel.fail(new Error('second'));
    await expect(reading).rejects.toThrow('first');
  });
});
