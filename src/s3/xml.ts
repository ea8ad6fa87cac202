import { parseXml, XmlElement } from "@rgrove/parse-xml";

/** An element of an answer, by the names that the API has. */
export interface XmlNode {
  name: string;
  /** The text of the first child of a name, or undefined. */
  text(child: string): string | undefined;
  /** The children of a name. */
  all(child: string): XmlNode[];
}

/** Reads a document without a DTD: entities are not defined by it. Throws the parser's errors. */
export function readXml(bytes: Uint8Array): XmlNode {
  const { root } = parseXml(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (root === null) throw new Error("the document has no element");
  return nodeOf(root);
}

function nodeOf(element: XmlElement): XmlNode {
  const children = element.children.filter((child) => child instanceof XmlElement);
  return {
    name: localName(element),
    text: (name) => children.find((child) => localName(child) === name)?.text,
    all: (name) => children.filter((child) => localName(child) === name).map(nodeOf),
  };
}

const localName = ({ name }: XmlElement): string => name.slice(name.indexOf(":") + 1);
