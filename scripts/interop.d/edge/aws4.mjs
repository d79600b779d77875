// The usual Lambda@Edge function around npm's aws4, for the comparison in docs/edge.md.
import { createRequire } from "node:module";

const aws4 = createRequire(import.meta.url)("aws4");

export function createHandler({ service, region } = {}) {
  return async (event) => {
    const request = event.Records[0].cf.request;
    const { domainName, path } = request.origin.custom ?? request.origin.s3;
    const query = request.querystring ? `?${request.querystring}` : "";
    const { data, encoding } = request.body ?? {};
    const contentType = request.headers["content-type"]?.[0].value;
    const options = {
      host: domainName,
      method: request.method,
      path: path + request.uri + query,
      headers: contentType ? { "content-type": contentType } : {},
      body: encoding === "base64" ? Buffer.from(data, "base64").toString() : data,
      service,
      region,
    };
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
    const signed = aws4.sign(options, {
      accessKeyId: AWS_ACCESS_KEY_ID,
      secretAccessKey: AWS_SECRET_ACCESS_KEY,
      sessionToken: AWS_SESSION_TOKEN,
    });
    for (const [key, value] of Object.entries(signed.headers)) {
      // CloudFront rejects a change of content-length.
      if (key.toLowerCase() !== "content-length") request.headers[key.toLowerCase()] = [{ key, value: String(value) }];
    }
    return request;
  };
}

export const handler = createHandler();
