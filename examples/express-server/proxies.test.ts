import { describe, expect, it } from 'vitest';
import { describeProxies, proxySecrets } from './proxies.js';

const proxies = {
  httpProxy: 'http://u%40corp:p%3Ass@a.example:3128',
  httpsProxy: 'https://b.example',
  noProxy: '',
};

describe('the proxies', () => {
  it('are shown without credentials, one that serves both schemes once', () => {
    expect(describeProxies(proxies)).toBe('a.example:3128, b.example');
    expect(describeProxies({ ...proxies, httpsProxy: proxies.httpProxy })).toBe('a.example:3128');
    expect(describeProxies({ ...proxies, httpProxy: undefined })).toBe('b.example');
  });

  it('have their credentials scrubbed in every form', () => {
    const secrets = proxySecrets(proxies);
    const basic = Buffer.from('u@corp:p:ss').toString('base64');
    expect(secrets).toEqual(['u%40corp:p%3Ass', 'u@corp:p:ss', 'p%3Ass', 'p:ss', basic]);
    expect(proxySecrets({ ...proxies, httpProxy: undefined })).toEqual([]);
  });
});
