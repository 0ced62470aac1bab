import { sep } from 'node:path';
import ts from 'typescript';

/**
 * Compiles a project with the TypeScript of this repository and gives what it complains of.
 *
 * Checked are the project's sources and the declarations of one package, as without `skipLibCheck`; other packages' are not
 * ours to check, and take three times as long.
 */
export function compileProject(configFile: string, packageName: string): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(configFile, undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
      throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
    },
  });
  if (!config) throw new Error(`${configFile} cannot be read.`);
  const program = ts.createProgram({ rootNames: config.fileNames, options: config.options });
  const sources = program.getSourceFiles().filter(({ fileName }) => config.fileNames.includes(fileName));
  const ours = `${sep}node_modules${sep}${packageName}${sep}`;
  const declarations = program.getSourceFiles().filter(({ fileName }) => fileName.replaceAll('/', sep).includes(ours));
  const found = [
    ...config.errors,
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...[...sources, ...declarations].flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]),
  ];
  // File by file: a whole emit would check every declaration of every package.
  if (!config.options.noEmit) found.push(...sources.flatMap((file) => [...program.emit(file).diagnostics]));
  return found.map(({ code, file, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n').split('\n')[0] ?? '';
    return `${file ? file.fileName.split('/').slice(-2).join('/') : 'options'}: TS${code} ${text}`;
  });
}
