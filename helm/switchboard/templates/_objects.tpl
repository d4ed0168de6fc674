{{/* Objects that each component has: all take (dict "root" $ "component" "api"). */}}

{{- define "switchboard.pdb" -}}
{{- $pdb := (index .root.Values .component).pdb -}}
{{- if $pdb.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "switchboard.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ $pdb.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- define "switchboard.serviceAccount" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $metadata := include "switchboard.metadata" (dict "root" .root "component" .component "annotations" $account.annotations) | fromYaml }}
  {{- toYaml (merge (dict "name" (include "switchboard.serviceAccountName" .)) $metadata) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{/* How Prometheus scrapes the port `ops`. */}}
{{- define "switchboard.scrape" -}}
{{- $monitors := .root.Values.monitoring.monitors -}}
- port: ops
  path: /metrics
  {{- with $monitors.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with $monitors.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with $monitors.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $monitors.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "switchboard.podMonitor" -}}
{{- $monitors := .root.Values.monitoring.monitors -}}
{{- if $monitors.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "switchboard.metadata" (dict "root" .root "component" .component "labels" $monitors.additionalLabels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
  namespaceSelector:
    matchNames: [{{ include "switchboard.namespace" .root }}]
  podMetricsEndpoints:
    {{- include "switchboard.scrape" . | nindent 4 }}
{{- end -}}
{{- end -}}
