import { expect, test } from "bun:test";
import { defaultPace, judgeRange } from "../../../../src/transfer/download/slow-ranges.ts";

const range = { age: 10_000, silence: 0, rate: 1000, remaining: 64 * 1024 * 1024 };
const judge = (change: Partial<typeof range>, siblings: number[]) =>
  judgeRange({ ...range, ...change }, siblings, defaultPace);

test("a range as fast as its siblings does well", () => {
  expect(judge({}, [900, 1000, 1100])).toBe("well");
  expect(judge({ rate: 300 }, [1000, 1000])).toBe("well");
});

test("a range far slower than its siblings is slow", () => {
  expect(judge({ rate: 200 }, [1000, 1000])).toBe("slow");
  expect(judge({ rate: 0 }, [1000])).toBe("slow");
});

test("a range without siblings is compared with nothing", () => {
  expect(judge({ rate: 1 }, [])).toBe("well");
});

test("a young range, and one that is nearly done, is left alone", () => {
  expect(judge({ rate: 10, age: defaultPace.young - 1 }, [1000])).toBe("well");
  expect(judge({ rate: 10, remaining: 1000 }, [1000])).toBe("well");
});

test("a silent range is slow, and dead when the silence lasts", () => {
  expect(judge({ silence: defaultPace.silent, age: 0 }, [])).toBe("slow");
  expect(judge({ silence: defaultPace.dead }, [])).toBe("dead");
});
