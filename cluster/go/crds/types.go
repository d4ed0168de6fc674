// Package crds names the Go types whose custom resource definitions a trial cluster
// serves. Nothing runs it: it keeps their modules in go.mod.
package crds

import (
	_ "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)
