// A typical gateway with the npm package aws4: collects the body, signs, and forwards with node:http.
// Arguments: port of the upstream, folder of node_modules.
const http = require("http");
const [upstream, modules] = process.argv.slice(2);
const aws4 = require(require.resolve("aws4", { paths: [modules] }));

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };
const hopByHop = ["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "host", "content-length"];

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const headers = { host: `127.0.0.1:${upstream}` };
    for (const [name, value] of Object.entries(request.headers)) {
      if (!hopByHop.includes(name)) headers[name] = value;
    }
    const body = Buffer.concat(chunks);
    const options = {
      agent, host: "127.0.0.1", port: upstream, method: request.method, path: request.url,
      service: "execute-api", region: "us-east-1", headers, body: body.length ? body : undefined,
    };
    aws4.sign(options, credentials);
    const forwarded = http.request(options, (received) => {
      response.writeHead(received.statusCode, received.headers);
      received.pipe(response);
    });
    forwarded.on("error", () => response.writeHead(502).end());
    forwarded.end(options.body);
  });
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
