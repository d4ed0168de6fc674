{{/* The pod that brings the schema up to date. */}}
{{- define "switchboard.migrations.pod" -}}
{{- $hook := eq .Values.migrations.mode "hook" -}}
metadata:
  labels:
    {{- include "switchboard.podLabels" (dict "root" . "component" "migrations") | nindent 4 }}
  {{- with .Values.migrations.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- $account := printf "%s-migrations" (include "switchboard.fullname" .) }}
  {{- include "switchboard.commandPod" (dict "root" . "name" "migrate" "component" "migrations" "args" (list "migrate") "resources" .Values.migrations.resources "serviceAccount" $account) | nindent 2 }}
{{- end -}}

{{/* Hook annotations of what the Job needs before it runs; nothing where the Job is a plain one. */}}
{{- define "switchboard.migrations.before" -}}
{{- if eq .Values.migrations.mode "hook" -}}
{{ include "switchboard.hook" (dict "on" "pre-install,pre-upgrade" "weight" "-10" "delete" "before-hook-creation,hook-succeeded") }}
{{- end -}}
{{- end -}}
