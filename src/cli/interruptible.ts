/** Lets a person give a long command up without leaving anything half done. */

/** Runs the work with a signal that Ctrl-C gives; resolves with the exit code. */
export async function interruptible(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once("SIGINT", abort).once("SIGTERM", abort);
  try {
    return await work(controller.signal);
  } catch (error) {
    if (error !== controller.signal.reason) throw error;
    console.error("latchkey: given up, and nothing was changed");
    return 1;
  } finally {
    process.off("SIGINT", abort).off("SIGTERM", abort);
  }
}
