import { ConfigurationError } from '../core/errors.js';
import type { ChatModel } from '../model/chat-model.js';

/** A model's name and the provider that serves it. */
export interface ModelRoute {
  readonly name: string;
  readonly model: ChatModel;
}

/** Finds the provider of a model name. Names belong to the main provider unless a fallback brings its own. */
export class ModelRoutes {
  readonly main: ModelRoute;
  readonly #fallbacks: ReadonlyMap<string, ModelRoute>;

  /** @throws ConfigurationError if two providers bring the same name. */
  constructor(main: ModelRoute, fallbacks: readonly ModelRoute[] = []) {
    this.main = main;
    this.#fallbacks = new Map(fallbacks.map((route) => [route.name, route]));
    const names = [main, ...fallbacks].map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) < at);
    if (twice === undefined) return;
    throw new ConfigurationError(
      `Two models have the name ${twice}, so a fallback could not be told from the other. Give one another name.`,
    );
  }

  get(name: string): ModelRoute {
    return this.#fallbacks.get(name) ?? { name, model: this.main.model };
  }

  /** Whether any of them is called with a key of the pool. */
  get needKeys(): boolean {
    return [this.main, ...this.#fallbacks.values()].some(({ model }) => model.needsKey);
  }
}
