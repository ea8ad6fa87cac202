import { readFile } from "node:fs/promises";
import { runtime } from "../../../runtime/current.ts";
import type { RegistryHandler } from "../routes/registry.ts";
import type { InstanceRecord } from "./record.ts";

const header = "Ocibundle-Instance";
const patience = 5000;

/** The handler, which also says whether it is the instance of that name, before anything else is looked at. */
export const identified =
  (handler: RegistryHandler, instance: string): RegistryHandler =>
  (request) =>
    request.headers.get(header) === instance
      ? Promise.resolve(new Response(null, { status: 204, headers: { [header]: instance } }))
      : handler(request);

/** Whether the registry of this record runs: the port may be another program's by now. */
export async function answers({ port, instance, ca }: InstanceRecord): Promise<boolean> {
  try {
    const tls = ca === undefined ? undefined : { ca: [await readFile(ca, "utf8")] };
    const scheme = tls === undefined ? "http" : "https";
    const response = await fetch(`${scheme}://127.0.0.1:${port}/v2/`, {
      ...runtime.connection({ tls }),
      headers: { [header]: instance },
      redirect: "manual",
      signal: AbortSignal.timeout(patience),
    });
    await response.body?.cancel();
    return response.headers.get(header) === instance;
  } catch {
    return false;
  }
}
