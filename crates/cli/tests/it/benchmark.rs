//! `sharpness bench`.

use crate::program::run;

#[test]
fn lambda_max_is_timed_by_its_residual_alone_and_certified() {
    let arguments = ["bench", "--arch", "mlp", "--dataset", "digits", "--hidden", "8", "--repetitions", "1"];
    let document = run(&[&arguments[..], &["--json"]].concat()).json_with(0);
    let task = |name: &str| {
        let tasks = document["tasks"].as_array().unwrap();
        tasks.iter().find(|task| task["task"] == name).unwrap_or_else(|| panic!("no task {name}: {document}"))
    };
    let (residual, certified) = (task("lambda-max-residual"), task("lambda-max"));
    let products = [residual, certified].map(|task| task["products"].as_u64().unwrap());
    assert!(products[0] <= products[1], "a certificate saves no products: {products:?}");
    assert_eq!([&residual["certified"], &certified["certified"]], [false, true], "only one is certified");
    let values = [residual, certified].map(|task| task["value"].as_f64().unwrap());
    assert!((values[0] / values[1] - 1.0).abs() < 2e-3, "on this network both find it: {values:?}");
    let text = run(&arguments).out_with(0);
    assert!(text.contains("lambda-max-residual  ") && text.contains("≥ "), "the table has both:\n{text}");
}
