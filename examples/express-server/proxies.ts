/** Proxies for outgoing requests, by the scheme of the target. */
export interface ProxySettings {
  readonly httpProxy: string | undefined;
  /** Default: `httpProxy`. */
  readonly httpsProxy: string | undefined;
  /** Hosts that are reached directly, separated by commas; `*` is all. */
  readonly noProxy: string;
}

/**
 * Sends every `fetch` of this process through the proxies, which Node does not do by itself.
 *
 * @param directHost Host and port of a part of this process, which no proxy could reach.
 */
export async function useProxies(
  { httpProxy = '', httpsProxy = '', noProxy }: ProxySettings,
  directHost: string | undefined,
): Promise<void> {
  // Loaded only now: undici replaces the dispatcher of Node's `fetch` by its own as soon as it is imported.
  const { EnvHttpProxyAgent, setGlobalDispatcher } = await import('undici');
  const direct = directHost === undefined || noProxy === '*' ? noProxy : `${noProxy},${directHost}`;
  // Many proxies allow tunnels to port 443 only, so requests to http:// targets are not tunneled.
  setGlobalDispatcher(new EnvHttpProxyAgent({ httpProxy, httpsProxy, noProxy: direct, proxyTunnel: false }));
}

/** Where requests go, for the log: the proxies without their credentials. */
export function describeProxies({ httpProxy, httpsProxy }: ProxySettings): string {
  const proxies = [httpProxy, httpsProxy].filter((proxy) => proxy !== undefined);
  return [...new Set(proxies.map((proxy) => new URL(proxy).host))].join(', ');
}

/** The credentials of the proxies, in each form in which an error might repeat them. */
export function proxySecrets({ httpProxy, httpsProxy }: ProxySettings): readonly string[] {
  return [httpProxy, httpsProxy].flatMap((proxy) => {
    const { password = '', username = '' } = proxy === undefined ? {} : new URL(proxy);
    if (username === '' && password === '') return [];
    const [name, secret] = [decodeURIComponent(username), decodeURIComponent(password)];
    const basic = Buffer.from(`${name}:${secret}`).toString('base64');
    return [`${username}:${password}`, `${name}:${secret}`, password, secret, basic];
  });
}
