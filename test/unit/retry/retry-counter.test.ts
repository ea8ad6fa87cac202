import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import { outageRetries, transferRetries } from "../../../src/retry/backoff.ts";
import { retryCounter, type ServerContact } from "../../../src/retry/retry-counter.ts";
import { failureOf } from "../../support/failure.ts";
import { recordedClock } from "../../support/registry/scripted-server.ts";

const { signal } = new AbortController();
const refused = new OcibundleError("network", "connection refused");
const { tries, outage = 0 } = transferRetries;

/** A counter, and what happens when one try a second after the other fails until it gives up. */
function counting(contact: ServerContact = {}) {
  const clock = recordedClock();
  const counter = retryCounter({ clock, contact });
  const giveUp = async (unreachable: boolean, weight = 1): Promise<number> => {
    const begin = clock.now();
    const error = await failureOf(
      (async () => {
        for (;;) {
          counter.count(weight);
          await counter.wait(refused, signal, unreachable ? "connection refused" : undefined);
          clock.advance(1000);
        }
      })(),
    );
    expect(error).toBe(refused);
    return clock.now() - begin;
  };
  return { clock, counter, giveUp, contact };
}

describe("a server that can't be reached", () => {
  test("and never could is given up after few tries", async () => {
    const { giveUp, clock } = counting();
    await giveUp(true);
    expect(clock.pauses).toHaveLength(tries - 1);
  });

  test("and never could is given up sooner where each try was several", async () => {
    const { giveUp, clock } = counting();
    await giveUp(true, tries);
    expect(clock.pauses).toEqual([]);
  });

  test("and was in contact is tried again for a minute, every few seconds", async () => {
    const { giveUp, clock, counter } = counting();
    counter.noteContact();
    const lasted = await giveUp(true);
    expect(lasted).toBeGreaterThanOrEqual(outage);
    expect(lasted).toBeLessThanOrEqual(outage + 1000);
    const later = clock.pauses.slice(tries - 1);
    expect(Math.max(...later)).toBeLessThanOrEqual(outageRetries.longestWait);
    expect(later.length).toBeGreaterThan(5);
  });

  test("has each outage counted for itself", async () => {
    const { giveUp, counter } = counting();
    for (let again = 0; again < 3; again += 1) {
      counter.reset();
      expect(await giveUp(true)).toBeGreaterThanOrEqual(outage);
    }
  });

  test("was in contact too where another transfer was", async () => {
    const { giveUp, contact, clock } = counting();
    contact.at = clock.now() - outage + 1;
    expect(await giveUp(true, tries)).toBeGreaterThanOrEqual(outage);
  });

  test("is given up soon where the contact was more than a minute ago", async () => {
    const { giveUp, contact, clock } = counting();
    contact.at = clock.now() - outage;
    expect(await giveUp(true, tries)).toBe(0);
  });

  test("is given up where the clock stands still", async () => {
    const clock = { ...recordedClock(), now: () => 0 };
    const counter = retryCounter({ clock });
    counter.noteContact();
    const waits = async (): Promise<void> => {
      counter.count(tries);
      await counter.wait(refused, signal, "connection refused");
      return waits();
    };
    expect(await failureOf(waits())).toBe(refused);
    expect(clock.pauses.length).toBeGreaterThan(100);
  });

  test("is waited for as long where requests that run side by side fail one after the other", async () => {
    const clock = { ...recordedClock(), sleep: () => Promise.resolve() };
    const counter = retryCounter({ clock });
    counter.noteContact();
    const eightFail = async (): Promise<void> => {
      for (let request = 0; request < 8; request += 1) {
        counter.count(3);
        await counter.wait(refused, signal, "connection refused");
      }
    };
    for (let second = 0; second < outage / 1000; second += 5) {
      await eightFail();
      clock.advance(5000);
    }
    expect(await failureOf(eightFail())).toBe(refused);
  });

  test("is waited for once by requests that failed together", async () => {
    const { counter, clock } = counting();
    counter.noteContact();
    counter.count(tries);
    const together = Array.from({ length: 50 }, () =>
      counter.wait(refused, signal, "connection refused"),
    );
    await Promise.all(together);
    expect(new Set(clock.pauses).size).toBe(1);
  });
});

test("a server that answers and fails is given up after few tries, whatever the contact", async () => {
  const { giveUp, counter, clock } = counting();
  counter.noteContact();
  await giveUp(false);
  expect(clock.pauses).toHaveLength(tries - 1);
});
