/** What is known of the processes that use the same ledger. */
export class PeerProcesses {
  /** Processes that live, this one included. */
  #processes: number;
  #queuedElsewhere = 0;
  #backlogs: Readonly<Record<string, number>> = {};

  constructor(expectedProcesses: number) {
    this.#processes = expectedProcesses;
  }

  get processes(): number {
    return this.#processes;
  }

  /** Whether others wait for the same slots. */
  get exist(): boolean {
    return this.#processes > 1;
  }

  update(processes: number, queuedElsewhere: number, backlogs: Readonly<Record<string, number>>): void {
    this.#processes = Math.max(1, processes);
    this.#queuedElsewhere = queuedElsewhere;
    this.#backlogs = backlogs;
  }

  /** Whether any backlogs are known of elsewhere. */
  get haveBacklogs(): boolean {
    return Object.keys(this.#backlogs).length > 0;
  }

  /** How many calls of the backlog with this id wait elsewhere, as of the last heartbeat. */
  backlog(id: string): number {
    return this.#backlogs[id] ?? 0;
  }

  /** How many calls wait in all processes like `own` ones of this process: the processes take turns. */
  everywhere(own: number): number {
    return own + Math.min(this.#queuedElsewhere, own * (this.#processes - 1));
  }
}
