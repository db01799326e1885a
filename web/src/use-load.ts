/** Reads something for a page, and knows whether it is there, on its way, or failed. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { toProblem } from "./api.ts";
import type { Problem } from "./problem.ts";
import { useSession } from "./session.ts";

export interface Loaded<T> {
  /** What was read last, also while it is read again. */
  readonly data: T | undefined;
  readonly problem: Problem | undefined;
  readonly isLoading: boolean;
  readonly reload: () => void;
}

/** @param key what the reading depends on; another one reads anew */
export function useLoad<T>(read: () => Promise<T>, key: string): Loaded<T> {
  const [state, setState] = useState<{ data?: T; problem?: Problem; isLoading: boolean }>({ isLoading: true });
  const { report } = useReport();
  const newest = useRef(0);
  const latestRead = useRef(read);
  latestRead.current = read;
  const reload = useCallback(() => {
    const turn = ++newest.current;
    setState((before) => ({ ...(before.data === undefined ? {} : { data: before.data }), isLoading: true }));
    latestRead.current().then(
      (data) => {
        if (turn === newest.current) setState({ data, isLoading: false });
      },
      (thrown: unknown) => {
        if (turn !== newest.current) return;
        const problem = report(thrown);
        setState((before) => ({ ...before, problem, isLoading: false }));
      },
    );
  }, []);
  useEffect(() => {
    reload();
    // What comes after the page is gone is nobody's.
    return () => void newest.current++;
  }, [key]);
  return { data: state.data, problem: state.problem, isLoading: state.isLoading, reload };
}

/** Takes failures of calls by somebody who is signed in: one may be the first to tell that they aren't any more. */
export function useReport(): { report: (thrown: unknown) => Problem } {
  const session = useSession();
  const report = useCallback(
    (thrown: unknown): Problem => {
      const problem = toProblem(thrown);
      if (problem.code === "unauthenticated") session.end();
      // Another tab may have gone to another organization, and this session with it.
      if (problem.code === "not_found" && /organization/.test(problem.message)) void session.reload();
      return problem;
    },
    [session],
  );
  return { report };
}
