import { Refusal, refusalResponse } from "../routes/refusal.ts";
import { type Account, basicAccount, isAccount } from "./account.ts";
import type { Layer } from "./middleware.ts";

/** Asks for a name and a password with every request (RFC 7617). */
export const basicAuth =
  (account: Account): Layer =>
  (next) =>
  (request) => {
    if (isAccount(basicAccount(request.headers.get("Authorization")), account)) {
      return next(request);
    }
    const refusal = new Refusal(
      401,
      { code: "UNAUTHORIZED", message: "a username and a password are required" },
      { "WWW-Authenticate": 'Basic realm="ocibundle", charset="UTF-8"' },
    );
    return Promise.resolve(refusalResponse(refusal, request.method));
  };
