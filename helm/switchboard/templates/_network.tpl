{{/* NetworkPolicies: in to a component's ports, out to what it needs. */}}

{{/* One egress rule. (dict "to" (list …) "ports" (list 5432) "protocols" (list "TCP")) */}}
{{- define "switchboard.egressRule" -}}
{{- $at := . -}}
- ports:
    {{- range $port := .ports }}
    {{- range $at.protocols | default (list "TCP") }}
    - {port: {{ $port }}, protocol: {{ . }}}
    {{- end }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The port of an http(s) address. */}}
{{- define "switchboard.portOf" -}}
{{- $url := urlParse . -}}
{{- $default := eq $url.scheme "https" | ternary "443" "80" -}}
{{- regexMatch ":[0-9]+$" $url.host | ternary (regexFind "[0-9]+$" $url.host) $default -}}
{{- end -}}

{{/* Pods of this installation, as a peer. (dict "root" $ "component" "dev-postgres") */}}
{{- define "switchboard.peer" -}}
- podSelector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* Where a component connects to. */}}
{{- define "switchboard.egress" -}}
{{- $values := .root.Values -}}
{{- $policy := $values.networkPolicy -}}
{{ include "switchboard.egressRule" (dict "ports" (list 53) "protocols" (list "UDP" "TCP") "to" $policy.dnsTo) }}
{{ if $values.dev.postgres.enabled -}}
{{- $peer := include "switchboard.peer" (dict "root" .root "component" "dev-postgres") | fromYamlArray -}}
{{ include "switchboard.egressRule" (dict "ports" (list 5432) "to" $peer) }}
{{- else -}}
{{ include "switchboard.egressRule" (dict "ports" (list $values.postgres.port) "to" $policy.postgresTo) }}
{{- end }}
{{- if ne .component "migrations" }}
{{ if $values.dev.redis.enabled -}}
{{- $peer := include "switchboard.peer" (dict "root" .root "component" "dev-redis") | fromYamlArray -}}
{{ include "switchboard.egressRule" (dict "ports" (list 6379) "to" $peer) }}
{{- else -}}
{{ include "switchboard.egressRule" (dict "ports" (list $values.redis.port) "to" $policy.redisTo) }}
{{- end }}
{{- end }}
{{- if and $values.config.otlpEndpoint (has .component (list "api" "worker" "scheduler")) }}
{{ include "switchboard.egressRule" (dict "ports" (list (include "switchboard.portOf" $values.config.otlpEndpoint)) "to" $policy.otlpTo) }}
{{- end }}
{{- if eq .component "worker" }}
{{- with $policy.internetPorts }}
{{ include "switchboard.egressRule" (dict "ports" .) }}
{{- end }}
{{- if $values.dev.simulator.enabled }}
{{- $peer := include "switchboard.peer" (dict "root" .root "component" "dev-simulator") | fromYamlArray }}
{{ include "switchboard.egressRule" (dict "ports" (list 7700) "to" $peer) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The policy of a component. (…, "httpFrom" (list …) with "httpPort" 8080: who reaches the tenants' port) */}}
{{- define "switchboard.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- if $policy.enabled -}}
{{- $values := index .root.Values .component -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "switchboard.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- $rules := $values.networkPolicy.extraIngress }}
    {{- with $policy.metricsFrom }}
    {{- $ops := include "switchboard.opsPort" $.component | int }}
    {{- $rules = prepend $rules (dict "from" . "ports" (list (dict "port" $ops "protocol" "TCP"))) }}
    {{- end }}
    {{- with .httpPort }}
    {{- $http := dict "ports" (list (dict "port" . "protocol" "TCP")) }}
    {{- with $.httpFrom }}{{ $http = set $http "from" . }}{{ end }}
    {{- $rules = prepend $rules $http }}
    {{- end }}
    {{- toYaml $rules | nindent 4 }}
  egress:
    {{- include "switchboard.egress" . | nindent 4 }}
    {{- with $values.networkPolicy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
{{- end -}}
