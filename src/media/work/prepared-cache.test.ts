import { describe, expect, it } from 'vitest';
import { PreparedCache } from './prepared-cache.js';

const entry = (bytes: number) => ({ parts: [{ mimeType: 'image/jpeg', data: new Uint8Array(bytes) }] });

describe('PreparedCache', () => {
  it('forgets what was used longest ago when it is full', () => {
    const cache = new PreparedCache(100);
    cache.set('a', entry(40));
    cache.set('b', entry(40));
    cache.get('a');
    cache.set('c', entry(40));
    expect(['a', 'b', 'c'].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true]);
  });

  it('keeps nothing that is larger than all of it, and loses nothing for it', () => {
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

  it('is off with no bytes', () => {
    const cache = new PreparedCache(0);
    cache.set('a', entry(1));
    expect(cache.get('a')).toBeUndefined();
  });
});
