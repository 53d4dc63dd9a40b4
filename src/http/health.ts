import type { HttpResponse } from './http-messages.js';
import { respondWithJson } from './respond.js';
import type { ServedChat } from './served-chat.js';

const timeoutMs = 5_000;
/** `/health` needs no token, so asking often must cost nothing. */
const freshMs = 1_000;

/** Whether questions can be answered and their answers be kept. */
export class Health {
  readonly #chat: ServedChat;
  #latest: { readonly at: number; readonly reasons: Promise<readonly string[]> } | undefined;

  constructor(chat: ServedChat) {
    this.#chat = chat;
  }

  /**
   * 503 if something is wrong, so that a load balancer prefers another server and a monitor that looks at the
   * status alone notices. Whether the process lives is what `GET /` tells.
   */
  async respond(report: (error: unknown) => void): Promise<HttpResponse> {
    const now = performance.now();
    if (this.#latest === undefined || now - this.#latest.at > freshMs) {
      this.#latest = { at: now, reasons: findReasons(this.#chat, report) };
    }
    const reasons = await this.#latest.reasons;
    if (reasons.length === 0) return respondWithJson({ status: 'ok' });
    return respondWithJson({ status: 'degraded', reasons }, { status: 503 });
  }
}

/** Sentences for anybody: they name no path, address or key. */
async function findReasons(chat: ServedChat, report: (error: unknown) => void): Promise<readonly string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, 'late');
    timer.unref();
  });
  try {
    const stats = await Promise.race([chat.stats(), late]);
    if (stats === 'late') return [`The memory or the key pool did not answer within ${timeoutMs / 1000} s.`];
    const reasons: string[] = [];
    const { keys } = stats.keys;
    if (stats.keys.allRejected || (keys.length > 0 && keys.every(({ state }) => state === 'disabled')))
      reasons.push('No API key can be used at present; /stats says why.');
    if (stats.memory?.isDegraded)
      reasons.push('The memory cannot be read or written; the log of the service says why.');
    return reasons;
  } catch (error) {
    report(error);
    return ['The memory or the key pool cannot be read; the log of the service says why.'];
  } finally {
    clearTimeout(timer);
  }
}
