import { OcibundleError } from "../../errors.ts";
import { type Annotations, annotated, parseAnnotations } from "../format/chosen-annotations.ts";
import type { AssembledModel } from "../graph/assemble.ts";
import { chosenLock } from "../lock/from-lock.ts";
import { sourceAnnotations } from "../lock/source-annotations.ts";
import { defaultLock } from "../places/lock-source.ts";
import type { Session } from "../session/session.ts";
import type { ModelParts } from "./model-parts.ts";

/**
 * What manifests are to say besides what their format says. Empty unless asked for: the same weights have one digest.
 */
export interface ChosenAnnotations {
  /** Of what gets the tag. */
  root: Annotations;
  /** Of the weights, whatever stands beside them. */
  weights: Annotations;
}

/** The annotations that flags ask for. Throws `usage` for faulty ones, and where a source is not known. */
export async function chosenAnnotations(
  session: Session,
  parts: ModelParts,
): Promise<ChosenAnnotations> {
  const root = parseAnnotations(parts.annotation ?? []);
  if (parts.annotationsFromSource !== true) return { root, weights: {} };
  if (parts.weightsFrom !== undefined) {
    throw new OcibundleError(
      "usage",
      "--annotations-from-source and --weights-from cannot be used together",
      { hint: "use --annotation: the weights of another model are pushed as they are" },
    );
  }
  const lock = await chosenLock(session, parts);
  if (lock === undefined) {
    throw new OcibundleError("usage", "--annotations-from-source needs a lock", {
      hint: "lock the weights first: `ocibundle lock hf://ORG/MODEL`",
    });
  }
  const on = parts.lock ?? defaultLock;
  return { root, weights: await sourceAnnotations(session, lock, on, root) };
}

/** The model with these annotations at what gets the tag. */
export function annotatedModel<Model extends AssembledModel>(
  model: Model,
  annotations: Annotations,
): Model {
  const root = annotated(model.root, annotations);
  return model.weights?.digest === model.root.digest
    ? { ...model, root, weights: root }
    : { ...model, root };
}

/** Throws `usage` where annotations are wanted of an image that is pushed as it is. */
export function refuseForImage({ root }: ChosenAnnotations): void {
  if (Object.keys(root).length === 0) return;
  throw new OcibundleError("usage", "--annotation needs weights: an image alone is not changed", {
    hint: "annotate the image when it is built, or push it with its weights",
  });
}
