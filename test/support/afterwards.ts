import { onTestFinished } from "bun:test";

const cleanups: (() => Promise<unknown>)[] = [];

/** Has `cleanup` run after the test, before what was asked for earlier. */
export const afterwards = (cleanup: () => Promise<unknown>): void => {
  // Not an `afterEach` of this module: that would hold for the first file only that imports it.
  if (cleanups.length === 0) {
    onTestFinished(async () => {
      for (const task of cleanups.splice(0)) await task();
    });
  }
  cleanups.unshift(cleanup);
};
