{{/* Names, labels and images. */}}

{{- define "switchboard.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What the names of all objects begin with: short enough for the longest end. */}}
{{- define "switchboard.fullname" -}}
{{- $name := include "switchboard.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "switchboard.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{/* Labels that choose the pods of a component; they never change. (dict "root" $ "component" "api") */}}
{{- define "switchboard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "switchboard.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a pod: without the chart's version, so that a new chart alone rolls nothing. */}}
{{- define "switchboard.podLabels" -}}
{{ include "switchboard.selectorLabels" . }}
app.kubernetes.io/part-of: switchboard
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object.
     (dict "root" $ "component" "api" "name" "api-ops" "annotations" (dict …) "labels" (dict …)); `name` is the component's if not given. */}}
{{- define "switchboard.metadata" -}}
{{- $root := .root -}}
name: {{ include "switchboard.fullname" $root }}-{{ .name | default .component }}
namespace: {{ .namespace | default (include "switchboard.namespace" $root) }}
labels:
  {{- include "switchboard.podLabels" . | nindent 2 }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) ($root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations of a hook. (dict "on" "pre-install,pre-upgrade" "weight" "0" "delete" "before-hook-creation") */}}
{{- define "switchboard.hook" -}}
helm.sh/hook: {{ .on }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: {{ .delete }}
{{- end -}}

{{/* An image's whole name. (dict "root" $ "image" .Values.api.image "repository" "…, where it differs") */}}
{{- define "switchboard.image" -}}
{{- $values := .root.Values -}}
{{- $registry := $values.global.imageRegistry | default $values.image.registry -}}
{{- $name := .repository | default .image.repository -}}
{{- with $registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default $values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "switchboard.imagePullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.image.pullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The name of a component's ServiceAccount. (dict "root" $ "component" "api") */}}
{{- define "switchboard.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- $made := printf "%s-%s" (include "switchboard.fullname" .root) .component -}}
{{- $account.name | default ($account.create | ternary $made "default") -}}
{{- end -}}
