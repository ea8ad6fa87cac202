import { Refusal, refusalResponse } from "../routes/refusal.ts";
import { type Layer, writes } from "./middleware.ts";

/** Refuses everything that writes. */
export const readOnly: Layer = (next) => (request) =>
  writes(request)
    ? Promise.resolve(
        refusalResponse(
          new Refusal(
            405,
            { code: "DENIED", message: "this registry is read-only" },
            { Allow: "GET, HEAD" },
          ),
          request.method,
        ),
      )
    : next(request);
