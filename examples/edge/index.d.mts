import type { CloudFrontRequest, CloudFrontRequestEvent, CloudFrontResultResponse } from "aws-lambda";

/** Settings of a function. All are optional. */
export interface Settings {
  /**
   * Signing name of the service, such as `execute-api`. Set with `region` for an origin whose host name is not one of
   * AWS. By default, the host name of the origin implies both.
   */
  service?: string;
  /** Region of the service, such as `us-east-1`. */
  region?: string;
  /**
   * Part of the body that is signed. By default, that of the service, which is `hash` for most.
   *
   * - `hash`: the body. The trigger needs *Include body*, and bodies over 1 MB are rejected with 413.
   * - `unsigned`: nothing. Bodies of any size pass. S3 and VPC Lattice accept it.
   * - `trust`: the viewer's own `x-amz-content-sha256`. Bodies of any size pass.
   */
  payload?: "hash" | "unsigned" | "trust";
  /** Header that receives the viewer's `authorization`, which is dropped by default. */
  authorizationHeader?: string;
  /** URL of the origin, with its path. For viewer requests, which do not name it. */
  viewerOrigin?: string;
}

/** The signed request, or an error as a response to the viewer. */
export type Result = CloudFrontRequest | CloudFrontResultResponse;

/** A function for *origin request* or *viewer request* events. */
export type Handler = (event: CloudFrontRequestEvent) => Promise<Result>;

/**
 * Creates a function that signs requests with the credentials in the environment.
 *
 * @throws if a setting is invalid
 */
export function createHandler(settings: Settings): Handler;

/** Signs requests to the service and region that the origin's host name implies. */
export const handler: Handler;

/** Adds only the hash of the body, `x-amz-content-sha256`. CloudFront's origin access control signs. */
export const hash: Handler;
