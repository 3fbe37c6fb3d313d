use kube::CustomResourceExt as _;
use tokenweir_crds::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};

#[test]
fn every_kind_gives_a_definition() {
    for crd in [
        LLMGateway::crd(),
        ModelProvider::crd(),
        ModelRoute::crd(),
        Tenant::crd(),
        ScalingPolicy::crd(),
    ] {
        println!("{}", serde_json::to_string_pretty(&crd).unwrap());
    }
}
