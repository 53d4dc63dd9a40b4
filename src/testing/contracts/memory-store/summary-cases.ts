import assert from 'node:assert/strict';
import type { Conversation, Turn } from '../../../core/turn.js';
import type {
  ConversationSummaries,
  ConversationSummary,
  MemoryStore,
} from '../../../memory/memory-store.js';
import type { ContractCase } from '../contract-case.js';
import { conversation, idsOf, makeTurn, type WithStore } from './fixture.js';

const day = (date: number) => Date.UTC(2026, 0, date);

/** A summary of the first turns. */
const summaryOf = (turns: readonly Turn[], text = 'They spoke of walruses.'): ConversationSummary => {
  const last = turns.at(-1) as Turn;
  return { text, turns: turns.length, lastTurn: last.id, until: last.createdAt };
};

const idsAfterSummary = async (summaries: ConversationSummaries, of: Conversation = conversation) =>
  idsOf(await summaries.turnsAfterSummary(of, { limit: 9 }));

type Reopen = (store: MemoryStore) => Promise<MemoryStore>;

/** What a store with `summaries` owes; one without passes. */
export const summaryCases = (withStore: WithStore, reopen: Reopen | undefined): readonly ContractCase[] => {
  /** With a conversation of six turns, one a day. */
  const withTurns = (
    name: string,
    check: (given: {
      readonly store: MemoryStore;
      readonly summaries: ConversationSummaries;
      readonly turns: readonly Turn[];
    }) => Promise<void>,
  ) =>
    withStore(name, async (store) => {
      const { summaries } = store;
      if (summaries === undefined) return;
      const turns = Array.from({ length: 6 }, (_, at) =>
        makeTurn({ prompt: `walrus ${at}`, createdAt: day(at + 1) }),
      );
      for (const turn of turns) await store.append(turn);
      await check({ store, summaries, turns });
    });

  return [
    withTurns('has no summary until one is kept', async ({ summaries, turns }) => {
      assert.equal(await summaries.read(conversation), undefined);
      assert.deepEqual(await idsAfterSummary(summaries), idsOf(turns));
      assert.deepEqual(
        idsOf(await summaries.turnsAfterSummary(conversation, { limit: 2 })),
        idsOf(turns.slice(0, 2)),
      );
      const nowhere = { ...conversation, sessionId: 'nowhere' };
      assert.equal(await summaries.keep(nowhere, summaryOf(turns)), false);
      assert.equal(await summaries.read(nowhere), undefined);
    }),

    withTurns('keeps a summary, and gives the turns that it does not cover', async ({ summaries, turns }) => {
      const first = summaryOf(turns.slice(0, 2), 'Wörds 🙂 \ud800 \0 of\nlines');
      assert.equal(await summaries.keep(conversation, first), true);
      assert.deepEqual(await summaries.read(conversation), first);
      assert.deepEqual(await idsAfterSummary(summaries), idsOf(turns.slice(2)));
      const second = summaryOf(turns.slice(0, 5));
      assert.equal(await summaries.keep(conversation, second), true);
      assert.deepEqual(await summaries.read(conversation), second);
      assert.deepEqual(await idsAfterSummary(summaries), idsOf(turns.slice(5)));
    }),

    withTurns('keeps no summary that covers less than the stored one', async ({ summaries, turns }) => {
      const kept = summaryOf(turns.slice(0, 4));
      await summaries.keep(conversation, kept);
      for (const length of [3, 4]) {
        const late = summaryOf(turns.slice(0, length), 'late');
        assert.equal(await summaries.keep(conversation, late), false);
      }
      assert.deepEqual(await summaries.read(conversation), kept);
    }),

    withTurns('keeps no summary that counts other turns', async ({ summaries, turns }) => {
      const wrong = { ...summaryOf(turns.slice(0, 3)), turns: 2 };
      assert.equal(await summaries.keep(conversation, wrong), false);
      const unknown = { ...summaryOf(turns.slice(0, 3)), lastTurn: 'unknown' };
      assert.equal(await summaries.keep(conversation, unknown), false);
      assert.equal(await summaries.read(conversation), undefined);
    }),

    withTurns('keeps the summaries of conversations apart', async ({ store, summaries, turns }) => {
      const others = [
        { ...conversation, sessionId: 'other' },
        { ...conversation, tenant: 'other' },
      ];
      await summaries.keep(conversation, summaryOf(turns));
      for (const other of others) {
        const turn = makeTurn(other);
        await store.append(turn);
        assert.equal(await summaries.read(other), undefined);
        assert.deepEqual(await idsAfterSummary(summaries, other), [turn.id]);
        assert.equal(await summaries.keep(other, summaryOf([turn], 'another')), true);
        assert.equal((await summaries.read(other))?.text, 'another');
      }
      assert.deepEqual(await summaries.read(conversation), summaryOf(turns));
    }),

    ...[conversation, { tenant: conversation.tenant }].map((target) =>
      withTurns(
        `forgets a summary with its ${'sessionId' in target ? 'conversation' : 'tenant'}`,
        async ({ store, summaries, turns }) => {
          await summaries.keep(conversation, summaryOf(turns.slice(0, 3)));
          await store.forget(target);
          assert.equal(await summaries.read(conversation), undefined);
          assert.equal(await summaries.keep(conversation, summaryOf(turns.slice(0, 5))), false);
          const next = makeTurn();
          await store.append(next);
          assert.equal(await summaries.read(conversation), undefined);
          assert.deepEqual(await idsAfterSummary(summaries), [next.id]);
        },
      ),
    ),

    withTurns('forgets a summary with the first turn that it covers', async ({ store, summaries, turns }) => {
      await summaries.keep(conversation, summaryOf(turns.slice(0, 3)));
      await store.forget({ before: new Date(day(1)) });
      assert.deepEqual(await summaries.read(conversation), summaryOf(turns.slice(0, 3)));
      await store.forget({ before: new Date(day(2)) });
      assert.equal(await summaries.read(conversation), undefined);
      // As if it was being made when the turn was forgotten.
      assert.equal(await summaries.keep(conversation, summaryOf(turns.slice(0, 4))), false);
      assert.deepEqual(await idsAfterSummary(summaries), idsOf(turns.slice(1)));
      assert.equal(await summaries.keep(conversation, summaryOf(turns.slice(1, 4))), true);
      assert.deepEqual(await idsAfterSummary(summaries), idsOf(turns.slice(4)));
    }),

    ...(reopen
      ? [
          withTurns('has its summary after a restart', async ({ store, summaries, turns }) => {
            const kept = summaryOf(turns.slice(0, 3));
            await summaries.keep(conversation, kept);
            await store.close();
            const again = await reopen(store);
            try {
              assert.deepEqual(await again.summaries?.read(conversation), kept);
              await again.forget(conversation);
              assert.equal(await again.summaries?.read(conversation), undefined);
            } finally {
              await again.close();
            }
          }),
        ]
      : []),
  ];
};
