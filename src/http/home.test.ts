import { describe, expect, it } from 'vitest';
import { fakeChat } from '../../test/support/fake-chat.js';
import { url } from '../../test/support/http-samples.js';
import { createHandler } from './handler.js';

describe('the page', () => {
  const page = '<!doctype html><script>alert(1)</script>';
  const browser = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

  it.each([
    [browser, 'text/html; charset=utf-8'],
    ['*/*', 'application/json; charset=utf-8'],
    ['application/json', 'application/json; charset=utf-8'],
  ])('is sent to clients that prefer HTML: %s', async (accept, type) => {
    const response = await createHandler(fakeChat(), { page })(
      new Request(url('/'), { headers: { accept } }),
    );
    expect(response.headers.get('content-type')).toBe(type);
    expect(response.headers.get('vary')).toBe('Accept');
  });

  it('may run only its own script and is shown in no frame', async () => {
    const handler = createHandler(fakeChat(), { page: async () => page });
    const response = await handler(new Request(url('/'), { headers: { accept: browser } }));
    expect(await response.text()).toBe(page);
    const policy = response.headers.get('content-security-policy');
    // echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
    expect(policy).toContain("script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='");
    expect(policy).toContain("frame-ancestors 'none'");
  });

  it('gets the slash that its relative addresses need', async () => {
    const handler = createHandler(fakeChat(), { page, basePath: '/my/chat' });
    const response = await handler(new Request(url('/my/chat?a=1'), { headers: { accept: browser } }));
    expect(response.status).toBe(308);
    expect(new URL(response.headers.get('location') ?? '', url('/my/chat')).href).toBe(url('/my/chat/?a=1'));
  });
});
