import { isIPv4 } from "node:net";

/** The host's name without port and brackets: `[::1]:5000` is `::1`. */
export function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)?.[1];
  return bracketed ?? host.replace(/:\d+$/, "");
}

/** Whether a host, with or without port, is this machine: localhost, 127.0.0.0/8, [::1]. */
export function isLoopback(host: string): boolean {
  const name = hostName(host).toLowerCase();
  if (name === "localhost" || name === "::1" || name === "0:0:0:0:0:0:0:1") return true;
  return isIPv4(name) && name.startsWith("127.");
}
