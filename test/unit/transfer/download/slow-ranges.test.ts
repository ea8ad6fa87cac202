import { describe, expect, test } from "bun:test";
import { flightSight } from "../../../../src/transfer/download/flight-sight.ts";
import { defaultPace, judgeRange } from "../../../../src/transfer/download/slow-ranges.ts";

const range = {
  age: 20_000,
  silence: 0,
  behind: 0,
  othersReceive: false,
  waited: 1,
  rate: 1000,
  remaining: 64 * 1024 * 1024,
};
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

test("a range that is slow because of this machine's disk is left alone", () => {
  expect(judge({ rate: 10, waited: 0.5 }, [1000])).toBe("well");
});

test("a range is slow while others receive, silent while none does, and dead when that lasts", () => {
  const { silent, dead } = defaultPace;
  expect(judge({ silence: silent, behind: silent, age: 0 }, [])).toBe("slow");
  expect(judge({ silence: silent, behind: silent - 1, age: 0 }, [])).toBe("silent");
  expect(judge({ silence: silent, othersReceive: true, age: 0 }, [])).toBe("well");
  expect(judge({ silence: silent - 1, age: 0 }, [])).toBe("well");
  expect(judge({ silence: dead }, [])).toBe("dead");
});

describe("looking at a request", () => {
  const window = 1000;
  const interval = 100;
  /** Looks each `interval`; the moments say what has come since the one before. */
  const seen = (
    moments: readonly { bytes?: number; others?: number; waits?: boolean; late?: number }[],
  ) => {
    const sight = flightSight(0);
    let now = 0;
    let bytes = 0;
    let bytesOfAll = 5000;
    for (const { bytes: own = 0, others = 0, waits = true, late = 0 } of moments) {
      now += interval + late;
      bytes += own;
      bytesOfAll += own + others;
      sight.look({ now, bytes, waits, bytesOfAll }, window, interval);
    }
    return sight.seen();
  };

  test("counts the silence of all, and that of one while others receive", () => {
    const alone = Array.from({ length: 5 }, () => ({}));
    expect(seen(alone)).toMatchObject({ silence: 500, behind: 0 });
    expect(seen([...alone, { others: 1 }, { others: 1 }])).toMatchObject({
      silence: 700,
      behind: 200,
      othersReceive: true,
    });
    expect(seen([...alone, { bytes: 1 }])).toMatchObject({ silence: 0, behind: 0 });
  });

  test("counts no time in which the disk was waited for", () => {
    const slowDisk = { waits: false, others: 1 };
    expect(seen([{ bytes: 10 }, slowDisk, slowDisk])).toMatchObject({ silence: 0, behind: 0 });
    expect(seen([{ bytes: 10 }, {}, slowDisk, slowDisk]).waited).toBeCloseTo(0.5);
  });

  test("counts little of a time in which nobody looked", () => {
    expect(seen([{ bytes: 10 }, { late: 60_000, others: 1 }])).toMatchObject({
      silence: 2 * interval,
      behind: 2 * interval,
    });
  });

  test("has no rate of a time in which all stood still", () => {
    const alone = Array.from({ length: 5 }, () => ({}));
    expect(seen([{ bytes: 1000 }, ...alone, { bytes: 500 }])).toMatchObject({ age: 100, rate: 5 });
  });

  test("has the rate of the latest time only", () => {
    const fast = Array.from({ length: 20 }, () => ({ bytes: 1000 }));
    const slow = Array.from({ length: 10 }, () => ({ bytes: 100 }));
    expect(seen(fast).rate).toBe(10);
    expect(seen([...fast, ...slow]).rate).toBe(1);
    expect(seen([...fast, ...slow]).age).toBe(3000);
  });
});
