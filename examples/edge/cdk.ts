// The stack of template.yaml for the AWS CDK.
import * as cdk from "aws-cdk-lib";
import * as cloudfront from "aws-cdk-lib/aws-cloudfront";
import * as origins from "aws-cdk-lib/aws-cloudfront-origins";
import * as iam from "aws-cdk-lib/aws-iam";
import * as lambda from "aws-cdk-lib/aws-lambda";
import type { Construct } from "constructs";

export interface SignedApiProps extends cdk.StackProps {
  /** Such as `abc123.execute-api.eu-west-1.amazonaws.com`. */
  apiHost: string;
  /** Such as `/prod`; missing for the stage `$default`. */
  apiStage?: string;
  /** Such as `arn:aws:execute-api:eu-west-1:123456789012:abc123/*`. */
  apiArn: string;
}

export class SignedApi extends cdk.Stack {
  constructor(scope: Construct, id: string, props: SignedApiProps) {
    super(scope, id, props);

    // Creates the function in us-east-1, whatever the region of this stack, which has to be set.
    const signer = new cloudfront.experimental.EdgeFunction(this, "Signer", {
      runtime: lambda.Runtime.NODEJS_22_X,
      architecture: lambda.Architecture.X86_64,
      handler: "index.handler",
      code: lambda.Code.fromAsset("edge.zip"),
      memorySize: 128,
      timeout: cdk.Duration.seconds(5),
    });
    signer.addToRolePolicy(
      new iam.PolicyStatement({ actions: ["execute-api:Invoke"], resources: [props.apiArn] }),
    );

    const distribution = new cloudfront.Distribution(this, "Distribution", {
      defaultBehavior: {
        origin: new origins.HttpOrigin(props.apiHost, { originPath: props.apiStage }),
        allowedMethods: cloudfront.AllowedMethods.ALLOW_ALL,
        viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
        cachePolicy: cloudfront.CachePolicy.CACHING_DISABLED,
        originRequestPolicy: cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        edgeLambdas: [
          {
            eventType: cloudfront.LambdaEdgeEventType.ORIGIN_REQUEST,
            functionVersion: signer.currentVersion,
            includeBody: true,
          },
        ],
      },
    });
    new cdk.CfnOutput(this, "Url", { value: `https://${distribution.domainName}` });
  }
}
