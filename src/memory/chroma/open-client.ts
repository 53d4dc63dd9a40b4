import type { ChromaClient } from 'chromadb';

/** Address and credentials of a client. */
export interface ClientAddress {
  readonly url: string;
  readonly tenant?: string | undefined;
  readonly database?: string | undefined;
  readonly token?: string | undefined;
}

/** Loads `chromadb`, which is optional. Sends no request yet. */
export async function openClient({ url, tenant, database, token }: ClientAddress): Promise<ChromaClient> {
  const { ChromaClient: Client, CloudClient } = await import('chromadb');
  const { protocol, hostname, port } = new URL(url);
  const ssl = protocol === 'https:';
  const address = {
    host: hostname,
    port: Number(port) || (ssl ? 443 : 80),
    ...(tenant === undefined ? {} : { tenant }),
    ...(database === undefined ? {} : { database }),
  };
  // The cloud knows the tenant and database of a token, so both may be left out there.
  if (token !== undefined && isCloud(hostname)) return new CloudClient({ ...address, apiKey: token });
  const headers = token === undefined ? {} : { headers: { 'x-chroma-token': token } };
  return new Client({ ...address, ssl, ...headers });
}

const isCloud = (hostname: string): boolean => /(^|\.)trychroma\.com$/i.test(hostname);
