/**
 * The connection is to be broken off without an answer, or in the middle of one. Thrown by a handler, or
 * by the body of its response; who serves the handler has to be able to do that (http-server.ts).
 */
export class BrokenConnection extends Error {
  override readonly name = "BrokenConnection";

  constructor() {
    super("the connection is closed by a fault");
  }
}
