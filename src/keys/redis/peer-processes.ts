/** What the last heartbeat said about the processes that use the same ledger. */
export class PeerProcesses {
  #processes: number;
  #queuedElsewhere = 0;
  #backlogs: Readonly<Record<string, number>> = {};

  constructor(expectedProcesses: number) {
    this.#processes = expectedProcesses;
  }

  /** Live processes, this one included. */
  get processes(): number {
    return this.#processes;
  }

  /** Whether other processes use the same ledger. */
  get exist(): boolean {
    return this.#processes > 1;
  }

  update(processes: number, queuedElsewhere: number, backlogs: Readonly<Record<string, number>>): void {
    this.#processes = Math.max(1, processes);
    this.#queuedElsewhere = queuedElsewhere;
    this.#backlogs = backlogs;
  }

  /** Whether another process has reported a backlog. */
  get haveBacklogs(): boolean {
    return Object.keys(this.#backlogs).length > 0;
  }

  /** Calls of the backlog with this id that wait in other processes. */
  backlog(id: string): number {
    return this.#backlogs[id] ?? 0;
  }

  /** Calls that are served in all processes while `own` ones of this process are: the processes take turns. */
  everywhere(own: number): number {
    return own + Math.min(this.#queuedElsewhere, own * (this.#processes - 1));
  }
}
