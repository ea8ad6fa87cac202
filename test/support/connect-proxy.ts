import { connect, createServer, type Socket } from "node:net";

/** What a proxy was asked, in its first line, and with which `Proxy-Authorization`. */
export interface AskedProxy {
  line: string;
  authorization: string | undefined;
}

export interface ConnectProxy {
  /** `127.0.0.1:41011` */
  address: string;
  asked: AskedProxy[];
  stop(): Promise<void>;
}

/**
 * A proxy on loopback that makes tunnels (RFC 9110, section 9.3.6) to where names stand for in `hosts`,
 * as `registry.test:443` for `127.0.0.1:5000`: none of them needs an address anywhere else. With
 * `login` it asks for that (`user:password`).
 */
export async function startConnectProxy(
  hosts: Readonly<Record<string, string>>,
  login?: string,
): Promise<ConnectProxy> {
  const asked: AskedProxy[] = [];
  const open = new Set<Socket>();
  const keep = (socket: Socket): void => {
    open.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    client.once("data", (head) => {
      const [line = "", ...fields] = head.toString("latin1").split("\r\n");
      const field = fields.find((text) => /^proxy-authorization:/i.test(text));
      const authorization = field?.slice(field.indexOf(":") + 1).trim();
      asked.push({ line, authorization });
      if (login !== undefined && authorization !== `Basic ${btoa(login)}`) {
        client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      const [host = "", port = ""] = splitAddress(hosts[line.split(" ")[1] ?? ""]);
      if (!line.startsWith("CONNECT ") || host === "") {
        client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      const registry = connect({ host, port: Number(port) }, () => {
        client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        client.pipe(registry).pipe(client);
      });
      keep(registry);
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    address: `127.0.0.1:${address.port}`,
    asked,
    async stop() {
      server.close();
      for (const socket of open) socket.destroy();
      await Promise.resolve();
    },
  };
}

const splitAddress = (address: string | undefined): string[] => address?.split(":") ?? [];
