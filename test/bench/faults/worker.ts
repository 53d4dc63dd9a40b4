import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

type Calls = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

interface Asked {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Answered =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** A script in a process of its own whose functions can be called from here. */
export interface Worker<Offered extends Calls> {
  call<Name extends keyof Offered & string>(
    name: Name,
    ...given: Parameters<Offered[Name]>
  ): ReturnType<Offered[Name]>;
  /** Everything that the process has written to its error stream. */
  errorOutput(): string;
  stop(): void;
}

/** Starts a script of the folder above that ends in `serveCalls`. */
export async function startWorker<Offered extends Calls>(
  script: string,
  flags: readonly string[] = [],
): Promise<Worker<Offered>> {
  const child = fork(fileURLToPath(new URL(`../${script}`, import.meta.url)), {
    execArgv: ['--import', 'tsx', ...flags],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
    process.stderr.write(text);
  });
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const ended = (code: number | null) => new Error(`${script} ended with code ${code}.`);
  const ready = Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(ended(code))),
  ]);
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(ended(code));
  });
  await ready;
  child.on('message', (answered: Answered) => {
    const caller = waiting.get(answered.id);
    waiting.delete(answered.id);
    if ('error' in answered) caller?.reject(new Error(`${script}: ${answered.error}`));
    else caller?.resolve(answered.result);
  });
  let ids = 0;
  return {
    call(name, ...[argument]) {
      const id = ids++;
      const answer = new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        child.send({ id, name, argument } satisfies Asked);
      });
      return answer as ReturnType<Offered[typeof name]>;
    },
    errorOutput: () => errors,
    stop: () => void child.kill('SIGKILL'),
  };
}

/** Offers functions to the process that started this one, for as long as that one lives. */
export function serveCalls(offered: Calls): void {
  process.on('message', ({ id, name, argument }: Asked) => {
    const run = async () => offered[name]?.(argument as never);
    run().then(
      (result) => process.send?.({ id, result }),
      (error: unknown) =>
        process.send?.({ id, error: error instanceof Error ? (error.stack ?? '') : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}
