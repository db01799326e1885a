/** Sends checkpoints to somebody who keeps them. */
import type { CheckpointOutlet } from "../domain/checkpoint-outlets.ts";

/** Posts each checkpoint as text to a URL. Any status from 200 to 299 means that it is kept there. */
export function createCheckpointReceiver(url: string): CheckpointOutlet {
  return {
    // The path may hold a secret.
    name: new URL(url).origin,
    async keep({ note }, signal) {
      const { ok, status, body } = await fetch(url, {
        method: "POST",
        headers: { "content-type": "text/plain; charset=utf-8" },
        body: note,
        // Whoever answers decides nothing about where we send to.
        redirect: "manual",
        signal,
      });
      await body?.cancel();
      if (!ok) throw new Error(`it answered with status ${status}`);
    },
  };
}
