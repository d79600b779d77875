// Prints the milliseconds from the start of node to the first signed request. Arguments: a module with `createHandler`,
// its settings, and an event.
const [module, settings, event] = process.argv.slice(2);
const { createHandler } = await import(module);
const request = await createHandler(JSON.parse(settings))(JSON.parse(event));
if (!request.headers.authorization) throw new Error("not signed");
console.log(performance.now());
