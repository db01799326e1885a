/**
 * Keeps V8's idea of what the objects look like that Node makes for `process.nextTick`, of which a call takes six.
 *
 * V8 forgets a shape when it collects garbage while no object has it, as happens while a process starts. The next
 * object gets a new shape, and the code that makes these objects, which names their properties by symbols, takes the
 * slow way for good once it has seen two: in such a process a check took a tenth more. So one of them stays.
 */
import { executionAsyncResource } from "node:async_hooks";

const kept: object[] = [];

/** Belongs before everything else that a process or a thread does, or the first shape may be gone already. */
export function keepTickShape(): void {
  process.nextTick(() => void kept.push(executionAsyncResource()));
}
