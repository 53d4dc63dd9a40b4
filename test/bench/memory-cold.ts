/** The first recall in a session by a new process: `memory-cold.ts STORE PATH SESSION`, on a filled store. */
import { localSubjects, timed } from './memory-subjects.js';
import { makeText } from './memory-turns.js';
import { rounded } from './statistics.js';

const [store = '', path = '', session = ''] = process.argv.slice(2);
const subject = await localSubjects[store]?.(path);
if (!subject) throw new Error(`There is no store "${store}" that works on a file.`);
// Opens the file and loads what is loaded lazily.
await subject.recall('nobody', makeText(3, 12));
const cpu = process.cpuUsage();
const ms = await timed(() => subject.recall(session, makeText(10, 12)));
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(JSON.stringify({ ms: rounded(ms), cpuMs: rounded((user + system) / 1000) }));
await subject.close();
