import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Long enough for a clean end; under load the server may spin forever after SIGTERM. */
const graceMs = 2_000;
const keptOutput = 4_000;

/**
 * A server in a separate process group that never outlives this process: a listener kills it at exit, and
 * a watchdog if this process is killed.
 */
export class ServerProcess {
  /** Resolves with the exit code, signal or error when it has ended. Never rejects. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #killAtExit = () => this.#signal('SIGKILL');
  #watchdog: ChildProcess | undefined;
  #output = '';

  constructor([program = '', ...parameters]: readonly string[]) {
    this.#child = spawn(program, parameters, {
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-keptOutput);
    });
    process.on('exit', this.#killAtExit);
    this.ended = this.#untilEnded();
    this.#watch();
  }

  /** The last of what it wrote to stderr. */
  get output(): string {
    return this.#output;
  }

  /** Lets this process end while the server runs; that ends the server too. */
  unref(): void {
    this.#child.unref();
    const stderr = this.#child.stderr as { unref?: () => void } | null;
    stderr?.unref?.();
  }

  /** Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#child.ref();
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs);
    this.#signal('SIGTERM');
    await this.ended;
    clearTimeout(timer);
  }

  async #untilEnded(): Promise<string> {
    const how = await Promise.race([
      once(this.#child, 'close').then(([code, signal]) => (signal ? `signal ${signal}` : `code ${code}`)),
      once(this.#child, 'error').then(([error]) => (error as Error).message),
    ]).catch((error: unknown) => (error as Error).message);
    process.off('exit', this.#killAtExit);
    this.#watchdog?.kill('SIGKILL');
    return how;
  }

  /** Kills the group: a command may have started the server as its child. */
  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    if (process.platform === 'win32') this.#child.kill(signal);
    else process.kill(-pid, signal);
  }

  /** No listener runs if this process is killed, but the pipe to the watchdog closes. */
  #watch(): void {
    const { pid } = this.#child;
    if (pid === undefined || process.platform === 'win32') return;
    this.#watchdog = spawn('/bin/sh', ['-c', 'cat >/dev/null; kill -s KILL -- "-$0"', String(pid)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without a shell there is only the listener.
    this.#watchdog.on('error', () => {
      this.#watchdog = undefined;
    });
    this.#watchdog.unref();
    (this.#watchdog.stdin as { unref?: () => void } | null)?.unref?.();
  }
}
