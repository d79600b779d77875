// Lambda@Edge function for origin requests: signs them with the credentials of the function's role.
import { createRequire } from "node:module";

const { EdgeSigner, hash: hashBody } = createRequire(import.meta.url)("./edge.node");

function result(event, { json, error }) {
  if (error) {
    console.error(error);
    return JSON.parse(json); // a response
  }
  return { ...event.Records[0].cf.request, ...JSON.parse(json) };
}

export function createHandler(settings) {
  const signer = new EdgeSigner(settings);
  return async (event) => {
    // Lambda renews the credentials of the role, so each request reads them.
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
    const credentials = {
      accessKeyId: AWS_ACCESS_KEY_ID,
      secretAccessKey: AWS_SECRET_ACCESS_KEY,
      sessionToken: AWS_SESSION_TOKEN,
    };
    return result(event, signer.sign(JSON.stringify(event), credentials, Date.now()));
  };
}

// Settings are code, because Lambda@Edge functions have no environment variables of their own.
export const handler = createHandler({});

// For origins with origin access control, which signs but does not hash bodies.
export const hash = async (event) => result(event, hashBody(JSON.stringify(event)));
