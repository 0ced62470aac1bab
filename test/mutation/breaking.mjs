/**
 * Each mutation takes one fence or guard out of the library; the test that is named must then fail. `find` occurs exactly once in
 * `file`. Names of tests are whole, with the store in brackets.
 *
 * @typedef {{ name: string, promise: number, file: string, find: string, replace: string, test: { file: string, name: string, project?: string } }} Mutation
 */

/** @returns {(name: string, file: string, find: string, replace: string, test: [string, string]) => Mutation} */
export const breaking =
  (promise) =>
  (name, file, find, replace, [testFile, title]) => ({
    name,
    promise,
    file: `lib/${file}`,
    find,
    replace,
    test: { file: `test/promises/${testFile}.test.ts`, name: `promise ${promise}: ${title}` },
  });

/** Of a guard that a unit test keeps. @returns {(name: string, file: string, find: string, replace: string, test: [string, string]) => Mutation} */
export const breakingUnit =
  (promise) =>
  (name, file, find, replace, [testFile, title]) => ({
    ...breaking(promise)(name, file, find, replace, [testFile, title]),
    test: { file: `test/unit/${testFile}.test.ts`, name: title, project: 'unit' },
  });

/** Of a guard that a test of another project keeps. @returns {(name: string, file: string, find: string, replace: string, test: [string, string]) => Mutation} */
export const breakingOn =
  (project, promise) =>
  (name, file, find, replace, [testFile, title]) => ({
    ...breaking(promise)(name, file, find, replace, [testFile, title]),
    test: { file: `test/${project}/${testFile}.test.ts`, name: title, project },
  });
