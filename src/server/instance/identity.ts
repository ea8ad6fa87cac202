import { runtime } from "../../runtime/current.ts";
import type { RegistryHandler } from "../registry.ts";
import type { InstanceRecord } from "./record.ts";

const header = "Ocibundle-Instance";
const patience = 5000;

/** The handler, with the instance's name in what it answers to `/v2/`. */
export const identified =
  (handler: RegistryHandler, instance: string): RegistryHandler =>
  async (request) => {
    const response = await handler(request);
    if (new URL(request.url).pathname === "/v2/") response.headers.set(header, instance);
    return response;
  };

/** Whether the registry of this record runs: the port may be another program's by now. */
export async function answers({ port, instance }: InstanceRecord): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v2/`, {
      ...runtime.connection({}),
      redirect: "manual",
      signal: AbortSignal.timeout(patience),
    });
    await response.body?.cancel();
    return response.headers.get(header) === instance;
  } catch {
    return false;
  }
}
