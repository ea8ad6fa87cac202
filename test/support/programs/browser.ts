import { join } from "node:path";
import { findPart } from "../../../scripts/parts.ts";

interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** What a page did while it was loaded. */
export interface LoadedPage {
  /** Errors and warnings: exceptions, blocked content, failed requests. */
  complaints: string[];
  /** Addresses that it asked for, itself among them. */
  requests: string[];
  /** Runs an expression in the page. */
  evaluate(expression: string): Promise<unknown>;
}

export interface Browser extends AsyncDisposable {
  /** Loads a page at a width in pixels, with the reader's colors dark or light. */
  load(address: string, width: number, colors: "dark" | "light"): Promise<LoadedPage>;
}

/** Starts Debian's Chromium, which is driven over its DevTools protocol. `directory` is for what it keeps. */
export async function startBrowser(directory: string): Promise<Browser> {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const child = Bun.spawn(
    [
      findPart("chromium") ?? "chromium",
      ...flags,
      "--remote-debugging-port=0",
      `--user-data-dir=${join(directory, "profile")}`,
      "about:blank",
    ],
    {
      env: { PATH: process.env["PATH"] ?? "", HOME: directory, TMPDIR: directory },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    },
  );
  const stop = async (): Promise<void> => {
    child.kill();
    await child.exited;
  };
  try {
    const socket = await connect(await debuggingAddress(child.stderr));
    return { load: (...page) => load(socket, ...page), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** It prints the address of its debugger when it listens. */
async function debuggingAddress(stderr: ReadableStream<Uint8Array>): Promise<string> {
  let printed = "";
  const decoder = new TextDecoder();
  for await (const chunk of stderr) {
    printed += decoder.decode(chunk, { stream: true });
    const address = /DevTools listening on (ws:\S+)/.exec(printed)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error(`chromium ended: ${printed}`);
}

interface Socket {
  send(method: string, params?: object, session?: string): Promise<Record<string, unknown>>;
  listeners: Set<(message: Message) => void>;
}

async function connect(address: string): Promise<Socket> {
  const socket = new WebSocket(address);
  const waiting = new Map<number, (message: Message) => void>();
  const listeners = new Set<(message: Message) => void>();
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve());
    socket.addEventListener("error", () => reject(new Error(`no connection to ${address}`)));
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    else for (const listener of listeners) listener(message);
  });
  let last = 0;
  const send: Socket["send"] = (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, ({ result, error }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      socket.send(JSON.stringify({ id: last, method, params, sessionId }));
    });
  return { send, listeners };
}

async function load(
  { send, listeners }: Socket,
  address: string,
  width: number,
  colors: "dark" | "light",
): Promise<LoadedPage> {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const session = String(sessionId);
  const ask = (method: string, params?: object) => send(method, params, session);
  const complaints: string[] = [];
  const requests: string[] = [];
  const loaded = new Promise<void>((resolve) => {
    listeners.add(({ method, params = {} }) => {
      if (method === "Page.loadEventFired") resolve();
      else if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded") {
        complaints.push(JSON.stringify(params));
      } else if (method === "Network.requestWillBeSent") {
        requests.push((params["request"] as { url: string }).url);
      }
    });
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await ask(`${domain}.enable`);
  const size = { width, height: 1400, deviceScaleFactor: 1, mobile: false };
  await ask("Emulation.setDeviceMetricsOverride", size);
  const features = [{ name: "prefers-color-scheme", value: colors }];
  await ask("Emulation.setEmulatedMedia", { features });
  await ask("Page.navigate", { url: address });
  await loaded;
  return {
    complaints,
    requests,
    evaluate: async (expression) => {
      const { result } = await ask("Runtime.evaluate", { expression, returnByValue: true });
      return (result as { value?: unknown }).value;
    },
  };
}
