import ts from 'typescript';

/** Every module that the file names, in whatever form: static, type-only, re-exported, dynamic, `require`d. */
export function importsOf(tree: ts.SourceFile): { specifier: string; line: number }[] {
  const found: { specifier: string; line: number }[] = [];
  const add = (node: ts.Node | undefined): void => {
    if (node && ts.isStringLiteralLike(node)) found.push({ specifier: node.text, line: lineOf(tree, node) });
  };
  walk(tree, (node) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
    else if (ts.isExternalModuleReference(node)) add(node.expression);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
    else if (ts.isCallExpression(node)) {
      const { expression } = node;
      const isRequire = ts.isIdentifier(expression) && expression.text === 'require';
      if (isRequire || expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0]);
    }
  });
  return found;
}

/** The lines on which the file exports a default. */
export function exportsDefault(tree: ts.SourceFile): number[] {
  const lines: number[] = [];
  walk(tree, (node) => {
    const isDefault =
      ts.isExportAssignment(node) ||
      (ts.isExportSpecifier(node) && node.name.text === 'default') ||
      (ts.canHaveModifiers(node) &&
        ts.getModifiers(node)?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword));
    if (isDefault) lines.push(lineOf(tree, node));
  });
  return lines;
}

const IMPURE_GLOBALS = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'fetch',
  'process',
  'console',
]);
const IMPURE_MEMBERS = new Set(['Date.now', 'Math.random', 'crypto.randomUUID', 'crypto.getRandomValues']);

/** Clocks, randomness, timers and I/O that a pure module reaches for; a member that only shares such a name is fine. */
export function impureUses(tree: ts.SourceFile): { what: string; line: number }[] {
  const found: { what: string; line: number }[] = [];
  const add = (what: string, node: ts.Node): void => void found.push({ what, line: lineOf(tree, node) });
  walk(tree, (node) => {
    if (ts.isPropertyAccessExpression(node)) {
      const member = `${lastName(node.expression)}.${node.name.text}`;
      if (IMPURE_MEMBERS.has(member)) add(member, node);
      else if (lastName(node.expression) === 'globalThis' && IMPURE_GLOBALS.has(node.name.text)) add(member, node);
    } else if (ts.isIdentifier(node) && IMPURE_GLOBALS.has(node.text) && isValueReference(node)) {
      add(node.text, node);
    } else if (ts.isNewExpression(node) && lastName(node.expression) === 'Date' && !node.arguments?.length) {
      add('new Date()', node);
    } else if (ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text === 'Date') {
      add('Date()', node);
    }
  });
  return found;
}

/** `Date` for both `Date` and `globalThis.Date`. */
function lastName(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  return ts.isPropertyAccessExpression(node) ? node.name.text : '';
}

/** Whether the identifier reads a value, instead of naming a member, a declaration or a type. */
function isValueReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isShorthandPropertyAssignment(parent)) return true;
  if (ts.isTypeNode(parent) || ts.isQualifiedName(parent)) return false;
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false;
  return (parent as { name?: ts.Node }).name !== node && (parent as { propertyName?: ts.Node }).propertyName !== node;
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  ts.forEachChild(node, (child) => {
    visit(child);
    walk(child, visit);
  });
}

function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
}
