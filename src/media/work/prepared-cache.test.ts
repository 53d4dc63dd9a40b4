import { describe, expect, it } from 'vitest';
import { PreparedCache } from './prepared-cache.js';

const entry = (bytes: number) => ({ parts: [{ mimeType: 'image/jpeg', data: new Uint8Array(bytes) }] });

describe('PreparedCache', () => {
  it('drops the least recently used entry when it is full', () => {
    const cache = new PreparedCache(100);
    cache.set('a', entry(40));
    cache.set('b', entry(40));
    cache.get('a');
    cache.set('c', entry(40));
    expect(['a', 'b', 'c'].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true]);
  });

  it('does not keep an entry larger than itself, and drops no other for it', () => {
    const cache = new PreparedCache(100);
    cache.set('a', entry(40));
    cache.set('large', entry(101));
    expect(cache.get('large')).toBeUndefined();
    expect(cache.get('a')).toBeDefined();
  });

  it('counts a replaced entry once', () => {
    const cache = new PreparedCache(100);
    cache.set('b', entry(10));
    for (let i = 0; i < 5; i += 1) cache.set('a', entry(60));
    expect(cache.get('b')).toBeDefined();
  });

  it('keeps nothing with a limit of 0 bytes', () => {
    const cache = new PreparedCache(0);
    cache.set('a', entry(1));
    expect(cache.get('a')).toBeUndefined();
  });
});
