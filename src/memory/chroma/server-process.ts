import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Long enough for a clean end; a server under load has been seen to spin after SIGTERM for ever. */
const graceMs = 2_000;
const keptOutput = 4_000;

/**
 * A server in a process group of its own, which never outlives this process: an exit of any kind takes
 * it along, by a listener where there is time for one, else by a watchdog that notices.
 */
export class ServerProcess {
  /** Resolves, with how, when it has ended. Never rejects. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #killAtExit = () => this.#signal('SIGKILL');
  #watchdog: ChildProcess | undefined;
  #said = '';

  constructor([program = '', ...parameters]: readonly string[]) {
    this.#child = spawn(program, parameters, {
      detached: process.platform !== 'win32',
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-keptOutput);
    });
    process.on('exit', this.#killAtExit);
    this.ended = this.#untilEnded();
    this.#watch();
  }

  /** What it wrote to stderr last. */
  get said(): string {
    return this.#said;
  }

  /** Lets this process end although the server runs, which ends it too. */
  unref(): void {
    this.#child.unref();
    const stderr = this.#child.stderr as { unref?: () => void } | null;
    stderr?.unref?.();
  }

  /** Resolves when it is gone for certain. */
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

  /** No listener runs when this process is killed; but the pipe to the watchdog is closed. */
  #watch(): void {
    const { pid } = this.#child;
    if (pid === undefined || process.platform === 'win32') return;
    this.#watchdog = spawn('/bin/sh', ['-c', 'cat >/dev/null; kill -s KILL -- "-$0"', String(pid)], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without a shell the listener has to do.
    this.#watchdog.on('error', () => {
      this.#watchdog = undefined;
    });
    this.#watchdog.unref();
    (this.#watchdog.stdin as { unref?: () => void } | null)?.unref?.();
  }
}
